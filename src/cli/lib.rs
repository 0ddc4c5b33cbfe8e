//! The command line of netkeel.

#![forbid(unsafe_code)]

mod arguments;
mod change;
pub mod command_line;
mod commands;
mod exit;
mod fail_on;
mod inspect;
mod load;
mod output;
mod print;
mod serve;
mod short_help;
mod taken;
