"""Charts as plain SVG, one small module a kind of chart; colours come from the style sheet."""
