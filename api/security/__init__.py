"""Who may do what: roles on routes, identity, CSRF, Host and Origin, response headers."""
