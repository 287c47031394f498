# SPDX-License-Identifier: GPL-2.0-only
# What goes where; included by the Makefile. DESTDIR is a root to install below (for packages), PREFIX
# where programs look for themselves. An operator's own keyfilterd.conf is never overwritten and never
# removed; neither are the state and what is pinned.

SYSCONFDIR  ?= /etc
SBINDIR     := $(PREFIX)/sbin
BINDIR      := $(PREFIX)/bin
MANDIR      := $(PREFIX)/share/man
COMPDIR     := $(PREFIX)/share/bash-completion/completions
UNITDIR     := $(PREFIX)/lib/systemd/system
SYSUSERSDIR := $(PREFIX)/lib/sysusers.d
CONF        := $(SYSCONFDIR)/keyfilter/keyfilterd.conf
INSTALL     ?= install

INSTALLED := $(SBINDIR)/keyfilterd $(BINDIR)/keyfilterctl $(MANDIR)/man8/keyfilterd.8 \
             $(MANDIR)/man1/keyfilterctl.1 $(MANDIR)/man5/keyfilterd.conf.5 \
             $(COMPDIR)/keyfilterctl $(UNITDIR)/keyfilterd.service $(SYSUSERSDIR)/keyfilter.conf

.PHONY: install uninstall FORCE

# Made each time: it holds PREFIX, which may be another one than last time.
$(O)/keyfilterd.service: scripts/keyfilterd.service.in FORCE
	@mkdir -p $(@D)
	$(call say,SED,$@)sed 's|@PREFIX@|$(PREFIX)|g' $< > $@.tmp && mv $@.tmp $@

install: $(O)/keyfilterd $(O)/keyfilterctl $(O)/keyfilterd.service ## install below DESTDIR/PREFIX (/usr/local)
	$(INSTALL) -D -m 0755 $(O)/keyfilterd $(DESTDIR)$(SBINDIR)/keyfilterd
	$(INSTALL) -D -m 0755 $(O)/keyfilterctl $(DESTDIR)$(BINDIR)/keyfilterctl
	$(INSTALL) -D -m 0644 scripts/man/keyfilterd.8 $(DESTDIR)$(MANDIR)/man8/keyfilterd.8
	$(INSTALL) -D -m 0644 scripts/man/keyfilterctl.1 $(DESTDIR)$(MANDIR)/man1/keyfilterctl.1
	$(INSTALL) -D -m 0644 scripts/man/keyfilterd.conf.5 $(DESTDIR)$(MANDIR)/man5/keyfilterd.conf.5
	$(INSTALL) -D -m 0644 scripts/completion/keyfilterctl.bash $(DESTDIR)$(COMPDIR)/keyfilterctl
	$(INSTALL) -D -m 0644 $(O)/keyfilterd.service $(DESTDIR)$(UNITDIR)/keyfilterd.service
	$(INSTALL) -D -m 0644 scripts/keyfilter.sysusers $(DESTDIR)$(SYSUSERSDIR)/keyfilter.conf
	test -e $(DESTDIR)$(CONF) || $(INSTALL) -D -m 0644 scripts/keyfilterd.conf $(DESTDIR)$(CONF)
	@$(if $(DESTDIR),:,echo 'Now: systemd-sysusers && systemctl daemon-reload && systemctl enable --now keyfilterd')

# Not while the filter is in the kernel: nothing that is left could take it off again. Below DESTDIR
# there is no kernel.
uninstall: ## remove what install put there; the configuration and the state stay
	@for pins in $(if $(DESTDIR),,/sys/fs/bpf/*/maps/kf_config); do \
		if [ -e "$$pins" ]; then \
			echo "$${pins%/maps/kf_config} is a filter that still runs; end it first, which opens the" \
				"services: systemctl disable --now keyfilterd; keyfilterd --unload" >&2; \
			exit 1; \
		fi; \
	done
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@$(if $(DESTDIR),:,echo 'Now: systemctl daemon-reload')
