"""From a page to its main text, title, author and date, in a process that a bad page may kill."""
