//! The bugs.

use crate::case::Group;

macro_rules! bugs {
    ($($ident:ident in $group:ident: $what:literal;)*) => {
        /// A mistake that [`Broken`](super::Broken) makes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Bug {
            $(#[doc = $what] $ident,)*
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &'static [Bug] = &[$(Bug::$ident,)*];

            /// The group of cases that must find it, whatever others do.
            pub const fn group(self) -> Group {
                match self { $(Bug::$ident => Group::$group,)* }
            }
        }
    };
}

bugs! {
    LostByteAtChunkEdge in Data: "A write that ends at a multiple of 64 KiB loses its last byte.";
    LostSecondChunk in Data: "A write across a multiple of 64 KiB drops what lies behind it.";
    StaleSizeAfterTruncate in Data: "The old size is told after a cut, until the next write.";
    CutBytesReappear in Data: "Bytes that were cut away come back when the file is extended.";
    ShortReads in Data: "A read in the middle of a file answers at most 32 KiB.";
    ReadsBeyondEnd in Data: "A read across the end answers zeroes as if they were there.";
    EmptyWriteExtends in Data: "A write of nothing beyond the end extends the file.";
    ReleaseClosesAll in Data: "Releasing one open file closes the others of the same file.";
    WriteTruncates in Data: "A write cuts the file where it ends.";
    FsyncUnsupported in Data: "fsync answers ENOSYS.";
    UnlinkKillsOpen in Data: "A file without a name cannot be opened though it is held.";
    GapKeepsGarbage in Holes: "The gap before a write beyond the end is filled with something else than zeroes.";
    OffsetsOf32Bits in Holes: "Offsets are kept in 32 bits.";
    HoleIsFilled in Holes: "Holes take space.";
    TooLargeIsInval in Large: "A size that is too large is EINVAL, not EFBIG.";
    MegabyteIsTooMuch in Large: "A write of a whole mebibyte loses its last byte.";
    ReaddirSkips in Directories: "Each page but the first skips an entry.";
    ReaddirRepeats in Directories: "Each page but the first begins with the last entry of the page before.";
    CookiesArePositions in Directories: "A cookie is the place in the list, and shifts when entries go.";
    ReaddirIgnoresMax in Directories: "A page has more entries than were asked for.";
    ListedSizeIsZero in Directories: "Listings tell the size 0.";
    DotsAreListed in Directories: "Listings begin with `.`.";
    RmdirTakesFull in Directories: "rmdir takes a directory with entries away.";
    NotemptyIsExist in Directories: "rmdir of a directory with entries answers EEXIST.";
    SubdirectoriesNotCounted in Directories: "A directory always has two links.";
    DeadDirectoryTakesNames in Directories: "Files can be made in a directory that was taken away.";
    UnlinkOfDirectoryIsPerm in Names: "unlink of a directory answers EPERM, as POSIX allows and Linux does not do.";
    MissingIsIo in Names: "A name that is not there answers EIO.";
    CreateOpensExisting in Names: "create answers a file that is there already.";
    DataOfDeletedReappears in Names: "A new file holds what the last of its name held.";
    ModeMaskedAgain in Names: "A second umask is applied to new files.";
    NegativeEntriesStay in Names: "A name that was looked up in vain stays absent once it is made.";
    LinksOffByOne in Links: "A file with more than one name has one link too many.";
    UnlinkedHasALink in Lookups: "A file without a name tells one link.";
    LookupsNotCounted in Lookups: "lookup does not count.";
    CreateNotCounted in Lookups: "create does not count.";
    LinkNotCounted in Lookups: "link does not count.";
    ForgetsOneTooMany in Lookups: "forget gives back one more than it was told.";
    ForgetIgnored in Lookups: "forget does nothing.";
    FailedCreateCounts in Lookups: "A create that finds the name taken counts as a lookup.";
    RenameDoesNotReplace in Rename: "A rename onto a file succeeds and leaves it in place.";
    RenameUnlinksSameFile in Rename: "A rename onto another name of the same file takes the old name away.";
    RenameIgnoresKinds in Rename: "A rename of a file onto an empty directory replaces it.";
    NoReplaceIgnored in Rename: "no-replace replaces.";
    ExchangeIsRename in Rename: "exchange is a plain rename.";
    ExchangeNeedsNoTarget in Rename: "exchange with what is not there is a plain rename.";
    RenameCopies in Rename: "A rename between directories leaves the old name.";
    LinkOfDirectory in Links: "link of a directory answers EISDIR.";
    LinkToDeadFile in Links: "link of a file without a name answers EIO.";
    TargetCutAt255 in Symlinks: "A symlink's target is cut at 255 bytes.";
    TargetCleaned in Symlinks: "A symlink's target is cleaned of double slashes.";
    CtimeStaysOnChmod in Attributes: "chmod does not move the time of change.";
    CtimeStaysOnLink in Attributes: "link does not move the time of change.";
    CtimeStaysOnRename in Attributes: "rename does not move the file's time of change.";
    MtimeStaysOnWrite in Attributes: "A write does not move the time of modification.";
    DirectoryTimesStayOnCreate in Attributes: "create does not move the directory's times.";
    DirectoryTimesStayOnUnlink in Attributes: "unlink does not move the directory's times.";
    MtimeMovesOnChmod in Attributes: "chmod moves the time of modification.";
    MtimeMovesOnRead in Attributes: "A read moves the time of modification.";
    TimesInSeconds in Attributes: "Times that are set lose their nanoseconds.";
    StickyLost in Attributes: "The sticky bit cannot be set.";
    MoreFreeThanThere in Attributes: "More blocks are free than there are.";
    XattrCutAt4096 in Xattrs: "A value is cut at 4096 bytes.";
    XattrEmptyRemoves in Xattrs: "An empty value removes the attribute.";
    XattrListForgetsLast in Xattrs: "The list of names lacks the last.";
    XattrErrno in Xattrs: "What is not there answers ENOENT.";
    DeviceOf16Bits in Special: "Device numbers have 16 bits.";
    SpecialIsFile in Special: "A socket's name is a regular file.";
    NamesFolded in OddNames: "Names are folded to lower case.";
    NamesComposed in OddNames: "A combining acute accent is composed with its letter.";
    NamesTrimmed in OddNames: "Spaces and dots at the end of a name are dropped.";
    BackslashIsSlash in OddNames: "A backslash in a name becomes an underscore.";
    NamesOf254Bytes in OddNames: "The longest name has 254 bytes.";
    RaceInCreate in Concurrency: "Two threads can create the same name.";
    RaceInWrite in Concurrency: "A write reads the page, changes it and writes it back.";
    RaceInRename in Concurrency: "A rename first takes the target away.";
    RaceInTruncate in Concurrency: "While a file is extended garbage shows.";
    PanicsOnUnknownNode in Robustness: "A number that was never given out panics.";
    SlashInNames in Robustness: "Names with a slash are made, with the slash dropped.";
    ListingErrorIsTheEnd in Faults: "A listing that fails underneath ends.";
    ReadErrorIsTheEnd in Faults: "A read that fails underneath is the end of the file.";
    LookupErrorIsAbsence in Faults: "A lookup that fails underneath is ENOENT.";
    WriteErrorIsIgnored in Faults: "A write that fails underneath is told as done.";
    RenameByHalf in Faults: "A rename links the new name and unlinks the old; what fails between stays.";
    HangsOnLongNames in Limits: "A name that is too long hangs.";
    HangsOnCreate in Names: "create never answers.";
    SurvivesOnlySmallFiles in Model: "The 70,000th byte of a file is lost when it is written with those before it.";
}
