"""Access logs of web servers: requests that are page views or clicks."""
