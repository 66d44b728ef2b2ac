'use strict';
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const onUse = (element, act) => {
    element.tabIndex = 0;
    element.addEventListener('click', act);
    element.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        act();
      }
    });
  };

  // Tables: a click on a heading sorts; what is not known comes last, and so does the mean.
  const sortBy = (table, head, column) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].filter((row) => !row.classList.contains('mean'));
    const key = (row) => row.cells[column].dataset.v ?? '';
    const numbers = rows.some((row) => key(row) !== '');
    const before = head.getAttribute('aria-sort');
    const down = before ? before === 'ascending' : numbers;
    const compare = (a, b) => {
      if (!numbers) {
        const text = (row) => row.cells[column].textContent.trim();
        return text(a).localeCompare(text(b), undefined, { numeric: true }) * (down ? -1 : 1);
      }
      if (key(a) === '' || key(b) === '') return (key(a) === '') - (key(b) === '');
      return (key(a) - key(b)) * (down ? -1 : 1);
    };
    all('th[aria-sort]', table.tHead).forEach((other) => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    body.prepend(...rows.sort(compare));
  };
  all('table.sortable').forEach((table) => {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.classList.add('sorts');
      onUse(head, () => sortBy(table, head, column));
    });
  });

  // Pictures: a slider sets the least score of what is drawn; without it, the operating points.
  const slider = document.getElementById('score');
  if (slider) {
    const value = document.getElementById('score-value');
    const show = (score) => {
      const chosen = score !== null;
      all('[data-score]').forEach((box) => {
        const off = chosen ? Number(box.dataset.score) < score : 'low' in box.dataset;
        box.classList.toggle('off', off);
      });
      all('[data-found]').forEach((box) => {
        const off = chosen ? Number(box.dataset.found) >= score : 'low' in box.dataset;
        box.classList.toggle('off', off);
      });
      value.textContent = chosen ? score.toFixed(2) : 'operating points';
      all('.panel [data-note]').forEach((note) => {
        const boxes = all('.box:not(.off)', note.closest('figure')).length;
        const missed = all('.missed:not(.off)', note.closest('figure')).length;
        note.textContent = chosen ? `${boxes} drawn, ${missed} missed` : note.dataset.note;
      });
    };
    slider.closest('p').hidden = false;
    slider.addEventListener('input', () => show(Number(slider.value)));
    document.getElementById('score-reset').addEventListener('click', () => show(null));
  }

  // Lightbox: a picture fills the window; a click or Escape closes it.
  const dialog = document.createElement('dialog');
  dialog.addEventListener('click', () => dialog.close());
  document.body.append(dialog);
  all('figure svg, img.wide').forEach((picture) => {
    picture.classList.add('opens');
    onUse(picture, () => {
      const copy = picture.cloneNode(true);
      copy.removeAttribute('tabindex');
      dialog.replaceChildren(copy);
      dialog.showModal();
    });
  });

  // On paper nothing can be unfolded.
  addEventListener('beforeprint', () => {
    all('details:not(.config)').forEach((part) => {
      part.open = true;
    });
  });
})();
