"""Chat with the model that is served: in OpenAI's form for programs, and what the page needs beside that."""
