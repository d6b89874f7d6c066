//! ellie
fn main() {}
