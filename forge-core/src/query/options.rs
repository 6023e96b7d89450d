//! What every read can be told of how to run.

/// The options of reads, as methods of a builder with `options()`, which gives its [`ReadOptions`](crate::ir::ReadOptions), and
/// `fail()`. What a collation compares is the builder's to say.
macro_rules! read_options {
    ([$($parameters:tt)*] $builder:ty, $compares:literal) => {
        impl<$($parameters)*> $builder {
            /// The longest that the database may work on one command.
            pub fn max_time(mut self, limit: std::time::Duration) -> Self {
                self.options().max_time = Some(limit);
                self
            }

            #[doc = $compares]
            /// A strength that is not 1 to 5 is a `bad_request`.
            pub fn collation(mut self, collation: $crate::ir::Collation) -> Self {
                if let Err(error) = collation.check() {
                    self.fail(error);
                }
                self.options().collation = Some(collation);
                self
            }

            /// The index to use, by its name, whatever the planner thinks. An unknown name is a `bad_request`.
            pub fn hint(mut self, index: impl Into<String>) -> Self {
                self.options().hint = Some(index.into());
                self
            }

            /// Which state of a replica set is read.
            pub fn read_concern(mut self, level: $crate::ir::ReadConcern) -> Self {
                self.options().read_concern = Some(level);
                self
            }

            /// Lets the server use its disk for sorts and groups that do not fit its memory. The embedded engine has no
            /// such place: it refuses what is too large, whatever this says.
            pub fn allow_disk_use(mut self) -> Self {
                self.options().allow_disk_use = true;
                self
            }

            /// A text for the logs and profiles of the server.
            pub fn comment(mut self, comment: impl Into<String>) -> Self {
                self.options().comment = Some(comment.into());
                self
            }
        }
    };
}

pub(crate) use read_options;
