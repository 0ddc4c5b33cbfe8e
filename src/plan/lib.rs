//! Turns wants and a snapshot into ordered ops, each with its reason and its undo.

pub mod goal;
pub mod indirect;
pub mod ledger;
pub mod loss;
pub mod make;
mod order;
mod originals;
pub mod outcome;
pub mod ownership;
pub mod plan;
mod planner;
mod pod_routes;
mod queue;
mod undo;
mod write;
