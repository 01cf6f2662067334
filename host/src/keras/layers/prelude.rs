//! The names that nearly every layer needs.

pub(super) use std::borrow::Cow;

pub(super) use super::kind::{LayerKind, Native, with_others};
pub(super) use crate::advice::Advice;
pub(super) use crate::keras::activation::Activation;
pub(super) use crate::keras::args::{Args, rank};
pub(super) use crate::keras::convert::arguments::Arguments;
pub(super) use crate::keras::convert::call::{Connect, LayerCall};
pub(super) use crate::keras::convert::error::ConvertError;
pub(super) use crate::keras::convert::index;
pub(super) use crate::keras::convert::index::tuple;
pub(super) use crate::keras::convert::options::ConvertOptions;
pub(super) use crate::keras::forward::axes;
pub(super) use crate::keras::forward::error::Problem;
pub(super) use crate::keras::shape;
pub(super) use crate::keras::shape::{DataFormat, Shape};
pub(super) use crate::keras::weight::{LayerRef, Slot, Weights};
pub(super) use crate::network::Pre;
pub(super) use crate::tensor::Tensor;
