"""Dense heads."""

from .ssd_student_head import SSDStudentHead

__all__ = ['SSDStudentHead']
