"""The report: pictures of each slide, and one offline page that a pathologist reads in a minute."""

from her2path.report.illustrate import illustrate_slide
from her2path.report.write import write_report

__all__ = ["illustrate_slide", "write_report"]
