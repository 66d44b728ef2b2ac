// pymdownx.arithmatex marks formulas by this class, and leaves their TeX as it is
window.MathJax = {
  tex: { inlineMath: [['\\(', '\\)']], displayMath: [['\\[', '\\]']] },
  options: { ignoreHtmlClass: '.*|', processHtmlClass: 'arithmatex' },
};
