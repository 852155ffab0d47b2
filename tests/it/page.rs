//! The web page through the real binary, as somebody sees it whose browser has no scripts. Tests with a real browser are in
//! `page_browsers`.

mod acts;
pub(super) mod crawl;
mod forms;
mod hostile;
mod login;
mod secrets;
pub(super) mod site;

pub(super) use crawl::crawl;
