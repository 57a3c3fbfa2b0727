// SPDX-License-Identifier: Apache-2.0
/* Asking the host what it is; the contract is in host.h. */
#include "vmm/kvm/host.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *host_kind_name(enum kvm_kind kind)
{
	static const char *const names[] = {
		[KVM_UNKNOWN] = "unknown",
		[KVM_INTEL] = "intel",
		[KVM_AMD] = "amd",
		[KVM_PVM] = "pvm",
	};

	return names[kind];
}

const char *host_paging_name(enum host_paging paging)
{
	static const char *const names[] = {
		[HOST_PAGING_UNKNOWN] = "unknown",
		[HOST_PAGING_EPT] = "ept",
		[HOST_PAGING_NPT] = "npt",
		[HOST_PAGING_SHADOW] = "shadow",
	};

	return names[paging];
}

void host_read_line(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");

	out[0] = '\0';
	if (!f)
		return;
	if (!fgets(out, (int)size, f))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

enum host_paging host_paging(enum kvm_kind kind, const char **source)
{
	static const struct {
		enum kvm_kind kind;
		const char *file;
		enum host_paging hardware;
	} parameters[] = {
		{KVM_INTEL, "/sys/module/kvm_intel/parameters/ept", HOST_PAGING_EPT},
		{KVM_AMD, "/sys/module/kvm_amd/parameters/npt", HOST_PAGING_NPT},
	};
	char value[8];

	*source = "";
	if (kind == KVM_PVM) {
		*source = "/sys/module/kvm_pvm";
		return HOST_PAGING_SHADOW;
	}
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		if (kind != parameters[i].kind)
			continue;
		host_read_line(parameters[i].file, value, sizeof(value));
		if (!value[0])
			continue;
		*source = parameters[i].file;
		return toupper((unsigned char)value[0]) == 'Y' || value[0] == '1'
			       ? parameters[i].hardware
			       : HOST_PAGING_SHADOW;
	}
	return HOST_PAGING_UNKNOWN;
}

bool host_prefers_shadow(enum kvm_kind kind)
{
	return kind == KVM_PVM;
}
