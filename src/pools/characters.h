/*
 * characters.h
 *		Characters of names and patterns, which are bytes without an encoding.
 */
#ifndef PM_CHARACTERS_H
#define PM_CHARACTERS_H

/* Bytes of the character at s, taking UTF-8 where it is well formed. */
static inline int
pm_char_length(const char *s)
{
	unsigned char lead = (unsigned char) s[0];
	int			length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;

	for (int i = 1; i < length; i++)
	{
		if (((unsigned char) s[i] & 0xC0) != 0x80)
			return 1;
	}
	return length;
}

#endif							/* PM_CHARACTERS_H */
