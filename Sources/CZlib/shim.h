// zlib as Swift imports it: the inflate and deflate streams and the checksums.
#include <zlib.h>
