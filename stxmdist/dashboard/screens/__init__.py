"""One file per screen: it turns what is published and the address of the page into what its template shows."""
