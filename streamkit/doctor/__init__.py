"""`streamkit doctor`: looks at everything that the service needs, and says of each fault how to mend it."""
