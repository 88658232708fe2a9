"""The HTTP side: one server on the standard library's `http.server`, its routes, TLS, and users."""
