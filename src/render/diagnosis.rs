//! A diagnosis as text and HTML, and the comparison of two hosts.

pub mod compare;
pub mod html;
pub mod text;
mod words;
