"""What was asked for: dtypes, stride maths, the operator tables, nodes and storages."""
