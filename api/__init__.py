"""labpool's HTTP side: JSON API, pages and sign-in over the database."""
