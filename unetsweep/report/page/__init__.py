"""The HTML report: one page that works offline and without JavaScript. Pure: records in, text out."""
