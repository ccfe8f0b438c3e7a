"""What calls to providers share: where they go, with which key, and what their errors mean."""
