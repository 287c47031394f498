// SPDX-License-Identifier: GPL-2.0-only
/*
 * keyhash.h: the published vectors of SipHash-2-4-128 (key 00..0f, message 00..n-1; the same from
 * `openssl mac -macopt size:16 SIPHASH`), and that the kernel's form agrees with the general one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <keyfilter/keyhash.h>

static const __u64 reference[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };

static const struct {
	__u32 len;
	const char *tag;
} vectors[] = {
	{ 0, "a3817f04ba25a8e66df67214c7550293" },  { 1, "da87c1d86b99af44347659119b22fc45" },
	{ 7, "a1f1ebbed8dbc153c0b84aa61ff08239" },  { 8, "3b62a9ba6258f5610f83e264f31497b4" },
	{ 9, "264499060ad9baabc47f8b02bb6d71ed" },  { 15, "5493e99933b0a8117e08ec0f97cfc3d9" },
	{ 16, "6ee2a4ca67b054bbfd3315bf85230577" }, { 23, "c9d184ddd5a9f5e0cf8ce29a9abf691c" },
	{ 50, "a590d3ee4fbf04e3247e0d27f286423f" }, { 51, "5fe2c1a172fe93c4b15cd37caef9f538" },
	{ 52, "2c97325cbd06b36eb2133dd08b3a017c" }, { 63, "5150d1772f50834a503e069a973fbd7c" },
};

static void assert_tag(const __u8 tag[16], const char *expected)
{
	char text[33];

	for (int i = 0; i < 16; i++)
		sprintf(text + 2 * i, "%02x", tag[i]);
	assert_string_equal(text, expected);
}

static void agrees_with_the_vectors(void **state)
{
	__u8 message[64], tag[16];

	for (int i = 0; i < 64; i++)
		message[i] = (__u8)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		kf_keyhash(reference, message, vectors[i].len, tag);
		assert_tag(tag, vectors[i].tag);
	}
}

static void hashes_a_key(void **state)
{
	static const char key[] = "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh";
	static const __u64 secret[2] = { 0xf8f9fafbfcfdfeffull, 0xf0f1f2f3f4f5f6f7ull };
	__u8 tag[16];

	kf_keyhash(secret, (const __u8 *)key, KF_KEY_LEN, tag);
	assert_tag(tag, "637c0d6c911fef6403149d0c70e034a8");
}

/* At each alignment, with each bit of the key, and with nothing of what lies behind it. */
static void agrees_with_itself(void **state)
{
	__u8 room[KF_KEY_LEN + 16], general[16];
	__u64 fixed[2], before[2] = { 0, 0 };

	for (unsigned int at = 0; at < 8; at++)
		for (unsigned int bit = 0; bit < 8 * KF_KEY_LEN; bit++) {
			memset(room, 'k', sizeof(room));
			room[at + bit / 8] ^= (__u8)(1u << bit % 8);
			kf_keyhash(reference, room + at, KF_KEY_LEN, general);
			memset(room + at + KF_KEY_LEN, (int)bit, sizeof(room) - at - KF_KEY_LEN);
			kf_keyhash_51(reference, room + at, (__u8 *)fixed);
			assert_memory_equal(fixed, general, 16);
			assert_memory_not_equal(fixed, before, 16);
			memcpy(before, fixed, 16);
		}
}

/* Keys of each length, with nothing of what lies behind them. */
static void agrees_at_any_length(void **state)
{
	__u8 room[KF_KEY_MOST + 16], general[16];
	__u64 fixed[2];

	for (__u32 len = 0; len <= KF_KEY_MOST; len++) {
		for (__u32 i = 0; i < sizeof(room); i++)
			room[i] = (__u8)(i < len ? i * 7 + len : 0);
		kf_keyhash(reference, room, len, general);
		memset(room + len, 0xa5, sizeof(room) - len);
		kf_keyhash_most(reference, room, len, (__u8 *)fixed);
		assert_memory_equal(fixed, general, 16);
	}
}

static void depends_on_the_secret(void **state)
{
	__u8 key[KF_KEY_LEN] = "sk-", tag[16], other[16];
	__u64 secret[2];

	kf_keyhash(reference, key, sizeof(key), tag);
	for (int bit = 0; bit < 128; bit++) {
		memcpy(secret, reference, sizeof(secret));
		secret[bit / 64] ^= 1ull << bit % 64;
		kf_keyhash(secret, key, sizeof(key), other);
		assert_memory_not_equal(tag, other, 16);
	}
}

static void knows_the_shape(void **state)
{
	static const struct {
		const char *text;
		__u32 len;
		_Bool key;
	} shapes[] = {
		{ "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 51, 1 },
		{ "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 50, 1 },
		{ "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 20, 1 },
		{ "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 19, 0 },
		{ "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 120, 1 },
		{ "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 121, 0 },
		{ "Sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 51, 0 },
		{ "sx-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 51, 0 },
		{ "sk_0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh", 51, 0 },
		{ "", 0, 0 },
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		assert_int_equal(kf_key_shape((const __u8 *)shapes[i].text, shapes[i].len),
				 shapes[i].key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_vectors), cmocka_unit_test(hashes_a_key),
		cmocka_unit_test(agrees_with_itself),	   cmocka_unit_test(agrees_at_any_length),
		cmocka_unit_test(depends_on_the_secret),   cmocka_unit_test(knows_the_shape),
	};

	return cmocka_run_group_tests_name("keyhash", tests, NULL, NULL);
}
