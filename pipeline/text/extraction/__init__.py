"""Extract main text, title, author and date of a page, in a process that a bad page may kill."""
