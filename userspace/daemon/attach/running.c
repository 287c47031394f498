// SPDX-License-Identifier: GPL-2.0-only
/* What runs on the interfaces, found without a pin and whatever maps it uses. */
#include "attach/impl.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <keyfilter/abi.h>

#include "cleanup.h"

int kf_attach_running_each(kf_attach_program_fn fn, void *context)
{
	struct if_nameindex *names = if_nameindex();
	int err = names ? 0 : -errno;

	for (const struct if_nameindex *name = names; !err && name->if_index; name++) {
		const struct kf_attach_search search = { fn, context, name->if_name,
							 (int)name->if_index };

		err = kf_attach_xdp_running(&search);
		if (!err)
			err = kf_attach_tcx_running(&search);
		if (!err)
			err = kf_attach_clsact_running(&search);
	}
	if (names)
		if_freenameindex(names);
	return err;
}
