"""Runtime that every config shares: mmdet's own, plus the import that registers our classes."""

custom_imports = dict(imports=['ldwsccd_mmdet'], allow_failed_imports=False)
default_scope = 'mmdet'
# classes that a config does not name are those of its annotation files
runner_type = 'CellRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='AtomicCheckpointHook',  # whole or absent, whenever the training is killed
        interval=1,
        max_keep_ckpts=1,
        save_best='coco/bbox_mAP_50',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='CellVisualizationHook'),
    # evaluation counts what the loader loads
    loader_truth=dict(type='LoaderTruthHook'),
)
# each of the others does nothing where its part, the teacher or the MIL head, is not there
custom_hooks = [
    dict(type='FiniteLossHook'),  # a loss that is NaN ends the training
    dict(type='BagAuditHook'),  # classes that image labels cannot teach, before the first step
    dict(type='DistillationGateHook'),  # what to know before the first step, in the log
    dict(type='ScoreJoinHook'),  # how both heads' scores are joined, learned on validation data
    dict(type='TeacherEvaluationHook'),  # the teacher's AP beside the student's
]
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # seconds that processes wait for one another: then one hangs
    dist_cfg=dict(backend='nccl', timeout=300),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='CytologyVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
