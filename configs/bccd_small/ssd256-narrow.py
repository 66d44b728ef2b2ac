"""SSD256, narrow VGG11: the student of LD-WSCCD alone."""

_base_ = '../bccd/ssd256-narrow_bccd.py'
