"""How far a training has come."""

from mmengine.logging import MessageHub

__all__ = ['training_progress']


def training_progress() -> float:
    """Give the share n / N of the training's iterations that are over, in [0, 1].

    Both are the runner's, so that a resumed run goes on where it was. 0 where nothing trains.
    """
    hub = MessageHub.get_current_instance()
    iteration, last = hub.get_info('iter', 0), hub.get_info('max_iters', 0)
    return min(max(int(iteration) / int(last), 0.0), 1.0) if last else 0.0
