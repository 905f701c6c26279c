//! Shows a zone at work.
use crate::args::Demo;
use crate::failure::Failure;
use crate::screen::Screen;

/// Shows it.
pub(crate) fn demo(_options: &Demo, _screen: &mut Screen) -> Result<(), Failure> {
    Err(Failure::Refused("not in this build".into()))
}
