"""Reports that people read without Vitrine: their parts, and those of studies, comparisons and exams."""
