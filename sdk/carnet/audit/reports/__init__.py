"""Reports of an audit: who brought what where, when, why, and on which evidence."""
