"""The pictures of records: found in a folder and put beside their labels (`folder`, `names`), upright."""
