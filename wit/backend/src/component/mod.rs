//! A component of any [`MountType`](crate::MountType), made by [`export_component!`](crate::export_component), or of any [`LayerType`](crate::LayerType), made by
//! [`export_layer!`](crate::export_layer).
//!
//! The bindings are those of the world `layer-backend`, which is the largest: what a component does not use of its imports is left out of it by the linker.

mod convert;
mod exports;
mod lower;

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

pub use lower::Lower;

use crate::{Filesystem, LayerCount, LayerType, MountType, Refusal, SettingDescription, Settings, Timestamp};

#[doc(hidden)]
#[allow(missing_docs, reason = "generated; the WIT has the documentation")]
pub mod bindings {
    wit_bindgen::generate!({
        path: ".",
        world: "layer-backend",
        pub_export_macro: true,
        export_macro_name: "export_layer_backend",
        default_bindings_module: "eyot_backend::component::bindings",
    });
}

/// Makes this crate's component: the [`MountType`](crate::MountType) that is named becomes the exports `mount`, `filesystem` and `durable`. Once in a crate of type `cdylib`.
///
/// ```ignore
/// eyot_backend::export_component!(MyMount);
/// ```
#[macro_export]
macro_rules! export_component {
    ($mount:ty) => {
        $crate::export_component!(@ $mount, $crate::component::Mounted);
    };
    (@ $mount:ty, $kind:ty) => {
        const _: () = {
            struct Place;

            impl $crate::component::Place for Place {
                type Kind = $kind;
                type Mount = $mount;

                fn filesystem() -> &'static ::std::sync::OnceLock<$crate::component::FilesystemOf<Self>> {
                    static FILESYSTEM: ::std::sync::OnceLock<$crate::component::FilesystemOf<Place>> =
                        ::std::sync::OnceLock::new();
                    &FILESYSTEM
                }
            }

            type Glue = $crate::component::Glue<Place>;
            $crate::component::bindings::export_layer_backend!(Glue with_types_in $crate::component::bindings);
        };
    };
}

/// Makes this crate's component of a [`LayerType`](crate::LayerType), over the filesystems that are granted to it. Once in a crate of type `cdylib`.
///
/// ```ignore
/// eyot_backend::export_layer!(MyLayer);
/// ```
#[macro_export]
macro_rules! export_layer {
    ($mount:ty) => {
        $crate::export_component!(@ $mount, $crate::component::Layered);
    };
}

/// How a filesystem is made of a type.
#[doc(hidden)]
pub trait Make<M>: 'static {
    type Filesystem: Filesystem;

    const SETTINGS: &'static [SettingDescription];

    fn make(settings: &Settings) -> Result<Self::Filesystem, Refusal>;
}

/// By a [`MountType`].
#[doc(hidden)]
pub struct Mounted;

impl<M: MountType> Make<M> for Mounted {
    type Filesystem = M::Filesystem;

    const SETTINGS: &'static [SettingDescription] = M::SETTINGS;

    fn make(settings: &Settings) -> Result<M::Filesystem, Refusal> {
        M::mount(settings, now)
    }
}

/// By a [`LayerType`], over the granted filesystems.
#[doc(hidden)]
pub struct Layered;

impl<M: LayerType> Make<M> for Layered {
    type Filesystem = M::Filesystem;

    const SETTINGS: &'static [SettingDescription] = M::SETTINGS;

    fn make(settings: &Settings) -> Result<M::Filesystem, Refusal> {
        // The compiler knows which: what the other way would import is not imported.
        let layers: Vec<Arc<dyn Filesystem>> = match M::LAYERS {
            LayerCount::One => vec![Arc::new(Lower::only())],
            LayerCount::Any => Lower::granted(),
        };
        M::LAYERS.check(layers.len())?;
        M::mount(settings, layers, now)
    }
}

/// Where the one filesystem of a component is kept: a `static` of the crate that exports it.
#[doc(hidden)]
pub trait Place: Sized + 'static {
    type Kind: Make<Self::Mount>;
    type Mount: 'static;

    fn filesystem() -> &'static OnceLock<FilesystemOf<Self>>;
}

#[doc(hidden)]
pub type FilesystemOf<P> = <<P as Place>::Kind as Make<<P as Place>::Mount>>::Filesystem;

/// The exports, over the filesystem at a place.
#[doc(hidden)]
pub struct Glue<P>(PhantomData<P>);

impl<P: Place> Glue<P> {
    const SETTINGS: &'static [SettingDescription] = P::Kind::SETTINGS;

    fn make(settings: &Settings) -> Result<FilesystemOf<P>, Refusal> {
        P::Kind::make(settings)
    }

    /// The filesystem. One that was never configured has no settings; where that is refused there is nothing to go on with, and the trap says so.
    fn fs() -> &'static impl Filesystem {
        P::filesystem().get_or_init(|| {
            let made = Settings::check(Self::SETTINGS, []).and_then(|none| Self::make(&none));
            made.unwrap_or_else(|refusal| panic!("used before it was configured: {refusal}"))
        })
    }
}

fn now() -> Timestamp {
    convert::timestamp_in(bindings::eyot::backend::clock::now())
}
