"""mmengine's EMAHook over a distilled student."""

import torch

from ldwsccd_mmdet.engine.hooks.training_state import distilled_student


def test_ema_copies_the_student_alone(training):
    """It averages, evaluates, is kept and resumed without the teacher."""
    run = training(['EMAHook', 'TeacherEvaluationHook']).train()
    runner = run.runner
    student = distilled_student(runner)
    teacher = {id(p) for p in student.teacher.model.parameters()}
    ema = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook').ema_model
    assert set(dict(ema.module.named_parameters())) == set(dict(student.named_parameters()))
    assert not teacher & {id(p) for p in ema.parameters()}
    assert ema.module._teacher is None  # it never distils, so it never builds one

    checkpoint = torch.load(f'{runner.work_dir}/epoch_2.pth', weights_only=True)
    average, last = checkpoint['state_dict'], checkpoint['ema_state_dict']
    assert not any('teacher' in name for name in (*average, *last))
    assert any(not torch.equal(average[n], last[f'module.{n}']) for n in average)
    assert 'teacher/coco/bbox_mAP_50' in run.log

    def resume(config):
        config.load_from = f'{runner.work_dir}/epoch_2.pth'
        config.resume = True
        config.train_cfg.max_epochs = 3

    assert training(['EMAHook'], resume).train().runner.iter == 6
