"""DynamoDB: the table's design (`keys`), its one door (`table`), and a store per kind of record."""
