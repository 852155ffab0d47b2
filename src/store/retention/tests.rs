//! What is deleted, what stays, and how it is found.
