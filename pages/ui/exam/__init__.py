"""Parts of the page about exams: the open exam, its league table, its cases, and the form that builds one."""
