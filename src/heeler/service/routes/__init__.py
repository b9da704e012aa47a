"""The routes of the API, a file for each subject. Each file lists its routes, and each route names its permission."""
