// {{name}}: a filesystem in memory, with files, directories, symlinks and hard links. Change it into yours.
//
// The kernel has checked names, permissions and sizes before it calls, and calls one function at a time. Each function here answers a call of
// wit/filesystem.wit: true with the answer in `ret`, or false with the errno in `err`. What it is given it frees; what it answers is freed for it.

#include <stdlib.h>
#include <string.h>

#include "tree.h"

static bool answer(error failed, eyot_backend_types_errno_t *err) {
    if (failed == OK) return true;
    *err = (eyot_backend_types_errno_t)failed;
    return false;
}

void exports_eyot_backend_filesystem_info(exports_eyot_backend_filesystem_filesystem_info_t *ret) {
    *ret = (exports_eyot_backend_filesystem_filesystem_info_t){
        .root = root()->node,
        .capabilities = CAPABILITY(WRITABLE) | CAPABILITY(HARD_LINKS) | CAPABILITY(SYMLINKS) | CAPABILITY(ATOMIC_RENAME) |
                        CAPABILITY(CASE_SENSITIVE),
        .entry_lifetime_ns = UINT64_MAX,
        .absence_lifetime_ns = UINT64_MAX,
    };
    {{world_module}}_string_dup(&ret->kind, "{{name}}");
}

bool exports_eyot_backend_filesystem_lookup(uint64_t dir, string *name, attributes *ret, eyot_backend_types_errno_t *err) {
    struct inode *at;
    error failed = find_directory(dir, &at);
    if (failed == OK) {
        struct entry *entry = find_entry(at, name);
        if (entry == NULL) failed = E(NOENT);
        else *ret = held(entry->inode);
    }
    {{world_module}}_string_free(name);
    return answer(failed, err);
}

void exports_eyot_backend_filesystem_forget(uint64_t node, uint64_t count) {
    struct inode *inode;
    if (find(node, &inode) != OK) return;
    inode->lookups -= count < inode->lookups ? count : inode->lookups;
    reap(inode);
}

bool exports_eyot_backend_filesystem_getattr(uint64_t node, attributes *ret, eyot_backend_types_errno_t *err) {
    struct inode *inode;
    error failed = find(node, &inode);
    if (failed == OK) *ret = attributes_of(inode);
    return answer(failed, err);
}

bool exports_eyot_backend_filesystem_setattr(
    uint64_t node, exports_eyot_backend_filesystem_attribute_changes_t *changes, attributes *ret, eyot_backend_types_errno_t *err) {
    struct inode *inode;
    error failed = find(node, &inode);
    if (failed != OK) return answer(failed, err);
    if (changes->accessed.is_some && changes->accessed.val.nanoseconds >= 1000000000) return answer(E(INVAL), err);
    if (changes->modified.is_some && changes->modified.val.nanoseconds >= 1000000000) return answer(E(INVAL), err);
    if (changes->size.is_some) {
        failed = find_file(node, &inode);
        if (failed == OK) failed = resize(inode, changes->size.val);
        if (failed != OK) return answer(failed, err);
        touch(inode);
    }
    if (changes->mode.is_some) inode->mode = changes->mode.val & 07777;
    if (changes->uid.is_some) inode->uid = changes->uid.val;
    if (changes->gid.is_some) inode->gid = changes->gid.val;
    if (changes->accessed.is_some) inode->accessed = changes->accessed.val;
    if (changes->modified.is_some) inode->modified = changes->modified.val;
    inode->changed = now();
    *ret = attributes_of(inode);
    return true;
}

// Names ----------------------------------------------------------------------------------------------------------------

// Makes an inode and its name. A symlink has its target.
static error add(uint64_t node, string *name, uint8_t kind, ownership owner, const string *target, attributes *ret) {
    struct inode *dir, *inode;
    error failed = room_for(node, name, &dir);
    if (failed == OK) failed = make(kind, owner, &inode);
    if (failed != OK) return failed;
    if (target != NULL) {
        inode->data = malloc(target->len);
        if (inode->data != NULL) memcpy(inode->data, target->ptr, target->len);
        inode->size = target->len;
    }
    failed = target != NULL && inode->data == NULL ? E(NOSPC) : add_name(dir, name, inode);
    if (failed != OK) {
        inode->links = 0;
        reap(inode);
        return failed;
    }
    touch(dir);
    *ret = held(inode);
    return OK;
}

bool exports_eyot_backend_filesystem_create(
    uint64_t dir, string *name, ownership *owner, attributes *ret, eyot_backend_types_errno_t *err) {
    error failed = add(dir, name, KIND(FILE), *owner, NULL, ret);
    {{world_module}}_string_free(name);
    return answer(failed, err);
}

bool exports_eyot_backend_filesystem_mkdir(
    uint64_t dir, string *name, ownership *owner, attributes *ret, eyot_backend_types_errno_t *err) {
    error failed = add(dir, name, KIND(DIRECTORY), *owner, NULL, ret);
    {{world_module}}_string_free(name);
    return answer(failed, err);
}

bool exports_eyot_backend_filesystem_symlink(
    uint64_t dir, string *name, string *target, ownership *owner, attributes *ret, eyot_backend_types_errno_t *err) {
    owner->mode = 0777;
    error failed = target->len == 0                 ? E(NOENT)
                   : target->len > TARGET_BYTES_MAX ? E(NAMETOOLONG)
                                                    : add(dir, name, KIND(SYMLINK), *owner, target, ret);
    {{world_module}}_string_free(name);
    {{world_module}}_string_free(target);
    return answer(failed, err);
}

bool exports_eyot_backend_filesystem_make_node(
    uint64_t dir, string *name, uint8_t kind, uint64_t device, ownership *owner, attributes *ret, eyot_backend_types_errno_t *err) {
    (void)dir, (void)kind, (void)device, (void)owner, (void)ret;
    {{world_module}}_string_free(name);
    return answer(E(NOTSUP), err);
}

bool exports_eyot_backend_filesystem_link(
    uint64_t target, uint64_t node, string *name, attributes *ret, eyot_backend_types_errno_t *err) {
    struct inode *inode, *dir;
    error failed = find(target, &inode);
    if (failed == OK && inode->kind == KIND(DIRECTORY)) failed = E(PERM);
    if (failed == OK) failed = room_for(node, name, &dir);
    if (failed == OK && inode->links == 0) failed = E(NOENT);
    if (failed == OK) failed = add_name(dir, name, inode);
    {{world_module}}_string_free(name);
    if (failed != OK) return answer(failed, err);
    inode->links += 1;
    inode->changed = now();
    touch(dir);
    *ret = held(inode);
    return true;
}

// Takes a name away: a directory's, which must be empty, or another's.
static error drop(uint64_t node, string *name, bool is_directory) {
    struct inode *dir;
    error failed = find_directory(node, &dir);
    if (failed != OK) return failed;
    struct entry *entry = find_entry(dir, name);
    if (entry == NULL) return E(NOENT);
    struct inode *inode = entry->inode;
    if ((inode->kind == KIND(DIRECTORY)) != is_directory) return is_directory ? E(NOTDIR) : E(ISDIR);
    if (inode->entry_count > 0) return E(NOTEMPTY);
    drop_name(dir, entry);
    touch(dir);
    lose_link(inode);
    return OK;
}

bool exports_eyot_backend_filesystem_unlink(uint64_t dir, string *name, eyot_backend_types_errno_t *err) {
    error failed = drop(dir, name, false);
    {{world_module}}_string_free(name);
    return answer(failed, err);
}

bool exports_eyot_backend_filesystem_rmdir(uint64_t dir, string *name, eyot_backend_types_errno_t *err) {
    error failed = drop(dir, name, true);
    {{world_module}}_string_free(name);
    return answer(failed, err);
}

static error exchange(struct inode *from, struct entry *one, struct inode *to, struct entry *other) {
    struct inode *a = one->inode, *b = other->inode;
    if (a == b) return OK;
    if (is_within(to, a) || is_within(from, b)) return E(INVAL);
    one->inode = b;
    other->inode = a;
    if (a->kind == KIND(DIRECTORY)) a->parent = to, from->links -= 1, to->links += 1;
    if (b->kind == KIND(DIRECTORY)) b->parent = from, to->links -= 1, from->links += 1;
    a->changed = b->changed = now();
    touch(from);
    touch(to);
    return OK;
}

// Whether `source` may take the place of `target`.
static error replaces(struct inode *source, struct inode *target) {
    if (source->kind == KIND(DIRECTORY) && target->kind != KIND(DIRECTORY)) return E(NOTDIR);
    if (source->kind != KIND(DIRECTORY) && target->kind == KIND(DIRECTORY)) return E(ISDIR);
    return target->entry_count > 0 ? E(NOTEMPTY) : OK;
}

static error move(uint64_t from_node, string *from_name, uint64_t to_node, string *to_name, bool no_replace, bool swap) {
    struct inode *from, *to;
    error failed = no_replace && swap ? E(INVAL) : find_directory(from_node, &from);
    if (failed == OK) failed = find_directory(to_node, &to);
    if (failed == OK) failed = check_name(from_name);
    if (failed == OK) failed = check_name(to_name);
    if (failed != OK) return failed;
    struct entry *entry = find_entry(from, from_name), *there = find_entry(to, to_name);
    if (entry == NULL || (swap && there == NULL)) return E(NOENT);
    if (swap) return exchange(from, entry, to, there);
    struct inode *source = entry->inode;
    if (to->links == 0) return E(NOENT);
    if (is_within(to, source)) return E(INVAL);
    if (there != NULL) {
        struct inode *target = there->inode;
        if (no_replace) return E(EXIST);
        if (target == source) return OK;
        failed = replaces(source, target);
        if (failed != OK) return failed;
        drop_name(to, there);
        lose_link(target);
    }
    // Entries move when one is added or dropped, so each is looked for again.
    failed = add_name(to, to_name, source);
    if (failed != OK) return failed;
    drop_name(from, find_entry(from, from_name));
    source->changed = now();
    touch(from);
    touch(to);
    return OK;
}

bool exports_eyot_backend_filesystem_rename(
    uint64_t from, string *from_name, uint64_t to, string *to_name, exports_eyot_backend_filesystem_rename_flags_t how,
    eyot_backend_types_errno_t *err) {
    bool no_replace = how & EYOT_BACKEND_TYPES_RENAME_FLAGS_NO_REPLACE, swap = how & EYOT_BACKEND_TYPES_RENAME_FLAGS_EXCHANGE;
    error failed = move(from, from_name, to, to_name, no_replace, swap);
    {{world_module}}_string_free(from_name);
    {{world_module}}_string_free(to_name);
    return answer(failed, err);
}

bool exports_eyot_backend_filesystem_readlink(uint64_t node, string *ret, eyot_backend_types_errno_t *err) {
    struct inode *inode;
    error failed = find(node, &inode);
    if (failed == OK && inode->kind != KIND(SYMLINK)) failed = E(INVAL);
    if (failed != OK) return answer(failed, err);
    {{world_module}}_string_dup_n(ret, (const char *)inode->data, inode->size);
    return true;
}

bool exports_eyot_backend_filesystem_readdir(
    uint64_t node, uint64_t cookie, uint32_t max_entries, exports_eyot_backend_filesystem_list_directory_entry_t *ret,
    eyot_backend_types_errno_t *err) {
    struct inode *dir;
    error failed = find_directory(node, &dir);
    if (failed != OK) return answer(failed, err);
    // The first entry after the cookie; the entries are in the order of theirs.
    size_t low = 0, high = dir->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dir->entries[middle].cookie <= cookie) low = middle + 1;
        else high = middle;
    }
    size_t count = dir->entry_count - low < max_entries ? dir->entry_count - low : max_entries;
    *ret = (exports_eyot_backend_filesystem_list_directory_entry_t){.len = 0};
    if (count == 0) return true;
    ret->ptr = calloc(count, sizeof *ret->ptr);
    if (ret->ptr == NULL) return answer(E(NOMEM), err);
    for (ret->len = 0; ret->len < count; ret->len++) {
        struct entry *entry = &dir->entries[low + ret->len];
        {{world_module}}_string_dup_n(&ret->ptr[ret->len].name, (const char *)entry->name, entry->length);
        ret->ptr[ret->len].cookie = entry->cookie;
        ret->ptr[ret->len].attributes = attributes_of(entry->inode);
    }
    return true;
}

// Contents -------------------------------------------------------------------------------------------------------------

bool exports_eyot_backend_filesystem_open(
    uint64_t node, exports_eyot_backend_filesystem_open_flags_t how, uint64_t *ret, eyot_backend_types_errno_t *err) {
    struct inode *file;
    (void)how;
    *ret = 0;
    return answer(find_file(node, &file), err);
}

void exports_eyot_backend_filesystem_release(uint64_t node, uint64_t open_file) { (void)node, (void)open_file; }

bool exports_eyot_backend_filesystem_read(
    uint64_t node, uint64_t open_file, uint64_t offset, uint32_t length, bytes *ret, eyot_backend_types_errno_t *err) {
    struct inode *file;
    (void)open_file;
    *ret = (bytes){.len = 0};
    error failed = find_file(node, &file);
    if (failed != OK) return answer(failed, err);
    if (offset < file->size) {
        size_t rest = file->size - (size_t)offset;
        // Given straight from where the bytes are: quicker than answering a copy of them.
        bytes part = {.ptr = file->data + offset, .len = rest < length ? rest : length};
        eyot_backend_transfer_give(&part);
    }
    return true;
}

bool exports_eyot_backend_filesystem_write(
    uint64_t node, uint64_t open_file, uint64_t offset, bytes *data, uint32_t *ret, eyot_backend_types_errno_t *err) {
    struct inode *file;
    (void)open_file;
    error failed = find_file(node, &file);
    uint64_t end = offset + data->len;
    if (failed == OK && (end < offset || end > INT64_MAX)) failed = E(FBIG);
    if (failed == OK && data->len > 0 && end > file->size) failed = resize(file, end);
    if (failed == OK && data->len > 0) {
        memcpy(file->data + offset, data->ptr, data->len);
        touch(file);
    }
    *ret = (uint32_t)data->len;
    {{world_module}}_list_u8_free(data);
    return answer(failed, err);
}

bool exports_eyot_backend_filesystem_fsync(uint64_t node, uint64_t open_file, bool data_only, eyot_backend_types_errno_t *err) {
    struct inode *inode;
    (void)open_file, (void)data_only;
    return answer(find(node, &inode), err);
}

bool exports_eyot_backend_filesystem_statfs(
    exports_eyot_backend_filesystem_filesystem_status_t *ret, eyot_backend_types_errno_t *err) {
    (void)err;
    *ret = (exports_eyot_backend_filesystem_filesystem_status_t){
        .block_size = BLOCK_BYTES,
        .blocks = bytes_max / BLOCK_BYTES,
        .blocks_free = (bytes_max - bytes_used) / BLOCK_BYTES,
        .files = INODES_MAX,
        .files_free = INODES_MAX - inode_count,
        .name_max = NAME_BYTES_MAX,
    };
    return true;
}

// Extended attributes: `info` does not name them, so the kernel never calls these. ---------------------------------------

bool exports_eyot_backend_filesystem_getxattr(uint64_t node, string *name, bytes *ret, eyot_backend_types_errno_t *err) {
    (void)node, (void)ret;
    {{world_module}}_string_free(name);
    return answer(E(NOTSUP), err);
}

bool exports_eyot_backend_filesystem_setxattr(uint64_t node, string *name, bytes *value, eyot_backend_types_errno_t *err) {
    (void)node;
    {{world_module}}_string_free(name);
    {{world_module}}_list_u8_free(value);
    return answer(E(NOTSUP), err);
}

bool exports_eyot_backend_filesystem_listxattr(uint64_t node, {{world_module}}_list_string_t *ret, eyot_backend_types_errno_t *err) {
    (void)node, (void)ret;
    return answer(E(NOTSUP), err);
}

bool exports_eyot_backend_filesystem_removexattr(uint64_t node, string *name, eyot_backend_types_errno_t *err) {
    (void)node;
    {{world_module}}_string_free(name);
    return answer(E(NOTSUP), err);
}
// {{#mount}}

// Settings -------------------------------------------------------------------------------------------------------------

void exports_eyot_backend_mount_settings(exports_eyot_backend_mount_list_setting_description_t *ret) {
    ret->ptr = calloc(1, sizeof *ret->ptr);
    ret->len = 1;
    {{world_module}}_string_dup(&ret->ptr->key, "bytes_max");
    ret->ptr->kind = EXPORTS_EYOT_BACKEND_MOUNT_SETTING_KIND_SIZE;
    ret->ptr->default_value.is_some = true;
    {{world_module}}_string_dup(&ret->ptr->default_value.val, "64M");
    {{world_module}}_string_dup(&ret->ptr->help, "The most bytes of contents; ENOSPC beyond.");
}

// A number of bytes with an optional unit, as the kernel has checked it.
static bool size_of(const string *text, uint64_t *size) {
    size_t at = 0;
    for (*size = 0; at < text->len && text->ptr[at] >= '0' && text->ptr[at] <= '9'; at++) {
        uint8_t digit = text->ptr[at] - '0';
        if (*size > (UINT64_MAX - digit) / 10) return false;
        *size = *size * 10 + digit;
    }
    int shift = 0;
    if (at < text->len) {
        switch (text->ptr[at] | 0x20) {
        case 'b': break;
        case 'k': shift = 10; break;
        case 'm': shift = 20; break;
        case 'g': shift = 30; break;
        case 't': shift = 40; break;
        default: return false;
        }
    }
    if (at == 0 || *size > UINT64_MAX >> shift) return false;
    *size <<= shift;
    return true;
}

bool exports_eyot_backend_mount_configure(
    exports_eyot_backend_mount_list_setting_t *settings, exports_eyot_backend_mount_refusal_t *err) {
    bool is_taken = true;
    for (size_t i = 0; i < settings->len && is_taken; i++) {
        string *key = &settings->ptr[i].key;
        bool is_known = key->len == 9 && memcmp(key->ptr, "bytes_max", 9) == 0;
        is_taken = is_known && size_of(&settings->ptr[i].value, &bytes_max);
    }
    exports_eyot_backend_mount_list_setting_free(settings);
    if (!is_taken) {
        err->code = E(INVAL);
        {{world_module}}_string_dup(&err->message, "bytes_max: not a size");
    }
    return is_taken;
}
// {{/}}
