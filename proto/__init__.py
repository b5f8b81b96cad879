"""The wire: protocol definitions and the stubs generated from them."""
