#include "tree.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1 << 14 };

uint64_t bytes_max = 64 << 20, bytes_used = 0;
size_t inode_count = 0;
static uint64_t node_last = 0;
static struct inode *table[BUCKETS];

timestamp now(void) {
    timestamp time;
    eyot_backend_clock_now(&time);
    return time;
}

void touch(struct inode *inode) { inode->modified = inode->changed = now(); }

// Inodes ---------------------------------------------------------------------------------------------------------------

error make(uint8_t kind, ownership owner, struct inode **made) {
    if (inode_count >= INODES_MAX) return E(NOSPC);
    struct inode *inode = calloc(1, sizeof *inode);
    if (inode == NULL) return E(NOSPC);
    timestamp time = now();
    node_last += 1;
    *inode = (struct inode){
        .node = node_last,
        .kind = kind,
        .mode = owner.mode & 07777,
        .uid = owner.uid,
        .gid = owner.gid,
        .links = kind == KIND(DIRECTORY) ? 2 : 1,
        .accessed = time,
        .modified = time,
        .changed = time,
        .created = time,
        .next = table[node_last % BUCKETS],
    };
    table[node_last % BUCKETS] = inode;
    inode_count += 1;
    *made = inode;
    return OK;
}

// The root, which is made when it is first asked for.
struct inode *root(void) {
    struct inode *inode = NULL;
    if (node_last == 0) (void)make(KIND(DIRECTORY), (ownership){.mode = 0755}, &inode);
    (void)find(ROOT, &inode);
    return inode;
}

error find(uint64_t node, struct inode **found) {
    for (struct inode *at = table[node % BUCKETS]; at != NULL; at = at->next) {
        if (at->node == node) return *found = at, OK;
    }
    return E(STALE);
}

error find_directory(uint64_t node, struct inode **found) {
    error failed = find(node, found);
    return failed != OK ? failed : (*found)->kind == KIND(DIRECTORY) ? OK : E(NOTDIR);
}

error find_file(uint64_t node, struct inode **found) {
    error failed = find(node, found);
    if (failed != OK) return failed;
    return (*found)->kind == KIND(FILE) ? OK : (*found)->kind == KIND(DIRECTORY) ? E(ISDIR) : E(INVAL);
}

// Lets an inode go that has neither a name nor a holder.
void reap(struct inode *inode) {
    if (inode->links > 0 || inode->lookups > 0 || inode->node == ROOT) return;
    struct inode **at = &table[inode->node % BUCKETS];
    while (*at != inode) at = &(*at)->next;
    *at = inode->next;
    inode_count -= 1;
    if (inode->kind == KIND(FILE)) bytes_used -= inode->size;
    free(inode->data);
    free(inode->entries);
    free(inode);
}

// The last step of unlink, rmdir and a rename that replaces.
void lose_link(struct inode *inode) {
    inode->links = inode->kind == KIND(DIRECTORY) ? 0 : inode->links - 1;
    inode->changed = now();
    reap(inode);
}

attributes attributes_of(const struct inode *inode) {
    return (attributes){
        .node = inode->node,
        .kind = inode->kind,
        .mode = inode->mode,
        .links = inode->links,
        .uid = inode->uid,
        .gid = inode->gid,
        .size = inode->size,
        .blocks = (inode->size + 511) / 512,
        .accessed = inode->accessed,
        .modified = inode->modified,
        .changed = inode->changed,
        .created = inode->created,
        // Nothing but this mount changes it, so the kernel need not ask again.
        .lifetime_ns = UINT64_MAX,
    };
}

attributes held(struct inode *inode) {
    inode->lookups += 1;
    return attributes_of(inode);
}

// Names ----------------------------------------------------------------------------------------------------------------

static uint32_t hash_of(const string *name) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name->len; i++) hash = (hash ^ name->ptr[i]) * 16777619u;
    return hash;
}

struct entry *find_entry(struct inode *dir, const string *name) {
    uint32_t hash = hash_of(name);
    for (struct entry *at = dir->entries; at < dir->entries + dir->entry_count; at++) {
        if (at->hash == hash && at->length == name->len && memcmp(at->name, name->ptr, name->len) == 0) return at;
    }
    return NULL;
}

error check_name(const string *name) {
    bool is_dots = (name->len == 1 || name->len == 2) && memcmp(name->ptr, "..", name->len) == 0;
    if (name->len == 0 || is_dots) return E(INVAL);
    if (memchr(name->ptr, '/', name->len) != NULL || memchr(name->ptr, 0, name->len) != NULL) return E(INVAL);
    return name->len > NAME_BYTES_MAX ? E(NAMETOOLONG) : OK;
}

// A directory that gets a new name.
error room_for(uint64_t node, const string *name, struct inode **found) {
    error failed = find_directory(node, found);
    if (failed == OK) failed = check_name(name);
    if (failed != OK) return failed;
    if (find_entry(*found, name) != NULL) return E(EXIST);
    return (*found)->links == 0 ? E(NOENT) : OK;
}

error add_name(struct inode *dir, const string *name, struct inode *inode) {
    if (dir->entry_count == dir->entry_capacity) {
        size_t capacity = dir->entry_capacity == 0 ? 4 : 2 * dir->entry_capacity;
        struct entry *entries = realloc(dir->entries, capacity * sizeof *entries);
        if (entries == NULL) return E(NOSPC);
        dir->entries = entries;
        dir->entry_capacity = capacity;
    }
    uint8_t *copy = malloc(name->len);
    if (copy == NULL) return E(NOSPC);
    memcpy(copy, name->ptr, name->len);
    dir->entries[dir->entry_count++] = (struct entry){
        .name = copy, .length = name->len, .hash = hash_of(name), .cookie = ++dir->cookie_last, .inode = inode};
    if (inode->kind == KIND(DIRECTORY)) {
        inode->parent = dir;
        dir->links += 1;
    }
    return OK;
}

void drop_name(struct inode *dir, struct entry *entry) {
    if (entry->inode->kind == KIND(DIRECTORY)) dir->links -= 1;
    free(entry->name);
    size_t after = (size_t)(dir->entries + dir->entry_count - (entry + 1));
    memmove(entry, entry + 1, after * sizeof *entry);
    dir->entry_count -= 1;
}

bool is_within(struct inode *dir, struct inode *ancestor) {
    for (; dir != NULL; dir = dir->parent) {
        if (dir == ancestor) return true;
    }
    return false;
}

// Contents -------------------------------------------------------------------------------------------------------------

// Makes a file this long: cuts, or extends with zeroes.
error resize(struct inode *file, uint64_t size) {
    if (size > INT64_MAX) return E(FBIG);
    if (size > file->size && bytes_used + (size - file->size) > bytes_max) return E(NOSPC);
    if (size > file->capacity || size < file->capacity / 4) {
        size_t capacity = size > file->capacity && size < 2 * file->capacity ? 2 * file->capacity : size;
        uint8_t *data = realloc(file->data, capacity == 0 ? 1 : capacity);
        if (data == NULL) return E(NOSPC);
        file->data = data;
        file->capacity = capacity;
    }
    if (size > file->size) memset(file->data + file->size, 0, size - file->size);
    bytes_used += size - file->size;
    file->size = size;
    return OK;
}
