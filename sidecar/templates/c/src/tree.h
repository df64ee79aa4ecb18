// The filesystem: inodes and their names.

#ifndef TREE_H
#define TREE_H

#include "{{world_module}}.h"

// Shorter names for what wit-bindgen made of wit/.
#define E(name) EYOT_BACKEND_TYPES_ERRNO_##name
#define KIND(name) EYOT_BACKEND_TYPES_NODE_KIND_##name
#define CAPABILITY(name) EYOT_BACKEND_TYPES_CAPABILITIES_##name
typedef eyot_backend_types_timestamp_t timestamp;
typedef eyot_backend_types_attributes_t attributes;
typedef eyot_backend_types_ownership_t ownership;
typedef {{world_module}}_string_t string;
typedef {{world_module}}_list_u8_t bytes;

// What a function answers: OK, or one of E(...).
typedef int error;
enum { OK = -1 };

enum {
    ROOT = 1,
    INODES_MAX = 100000,
    BLOCK_BYTES = 4096,
    NAME_BYTES_MAX = 255,
    TARGET_BYTES_MAX = 4095,
};

// A name in a directory.
struct entry {
    uint8_t *name;
    size_t length;
    uint32_t hash;
    uint64_t cookie;
    struct inode *inode;
};

struct inode {
    uint64_t node;
    uint8_t kind;
    uint32_t mode, uid, gid, links;
    // How many times the kernel holds it. While it does, the number stays valid, with or without a name.
    uint64_t lookups;
    timestamp accessed, modified, changed, created;
    // A file's contents, or a symlink's target.
    uint8_t *data;
    size_t size, capacity;
    // A directory's names, in the order of their cookies.
    struct entry *entries;
    size_t entry_count, entry_capacity;
    uint64_t cookie_last;
    struct inode *parent;
    // The next in the table.
    struct inode *next;
};

extern uint64_t bytes_max, bytes_used;
extern size_t inode_count;

struct inode *root(void);
error find(uint64_t node, struct inode **found);
error find_directory(uint64_t node, struct inode **found);
error find_file(uint64_t node, struct inode **found);
struct entry *find_entry(struct inode *dir, const string *name);
error check_name(const string *name);
error room_for(uint64_t node, const string *name, struct inode **found);

error make(uint8_t kind, ownership owner, struct inode **made);
error add_name(struct inode *dir, const string *name, struct inode *inode);
void drop_name(struct inode *dir, struct entry *entry);
void lose_link(struct inode *inode);
void reap(struct inode *inode);
bool is_within(struct inode *dir, struct inode *ancestor);

error resize(struct inode *file, uint64_t size);
timestamp now(void);
void touch(struct inode *inode);
attributes attributes_of(const struct inode *inode);
// An answer that the kernel holds from now on.
attributes held(struct inode *inode);

#endif
