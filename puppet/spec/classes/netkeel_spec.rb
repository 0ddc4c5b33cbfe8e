# frozen_string_literal: true

require 'spec_helper'

describe 'netkeel' do
  let(:written) { document(catalogue, '50-hiera.yaml') }

  context 'without data' do
    it { is_expected.to compile.with_all_deps }
    it { is_expected.to contain_class('netkeel::install').that_comes_before('Class[netkeel::config]') }
    it { is_expected.to contain_class('netkeel::config').that_comes_before('Class[netkeel::converge]') }
    it { is_expected.to contain_class('netkeel::converge').that_comes_before('Class[netkeel::service]') }
    it { is_expected.to contain_class('netkeel::service') }
    it { is_expected.to contain_package('netkeel').with_ensure('installed') }
    it { is_expected.to contain_netkeel__document('hiera').with(content: {}, order: 50) }
    it { expect(written).to eq('version' => 1) }

    it 'purges documents that nobody declares, below the directory only' do
      is_expected.to contain_file('/etc/netkeel/desired.d').with(ensure: 'directory', purge: true, recurse: true)
      is_expected.to contain_file('/etc/netkeel').without_purge
    end

    it 'declares the drop-in, but neither its content nor whether it is there' do
      is_expected.to contain_file('/etc/sysctl.d/90-netkeel.conf').without_ensure.without_content
    end

    it 'compares by the type' do
      is_expected.to contain_netkeel_host('default').with(directory: '/etc/netkeel/desired.d', timeout: 60, installing: true)
      is_expected.not_to contain_exec('netkeel apply')
    end

    it 'runs the service with the units of the package' do
      is_expected.to contain_file('/etc/default/netkeel').with_content(/^NETKEEL_OPTIONS=""$/)
      %w[netkeel netkeel-boot netkeel-recover].each do |unit|
        is_expected.not_to contain_exec("netkeel render #{unit}.service")
        is_expected.to contain_exec("netkeel: remove /etc/systemd/system/#{unit}.service")
          .that_notifies(['Exec[netkeel: systemctl daemon-reload]', 'Service[netkeel]'])
      end
      is_expected.to contain_exec('netkeel: systemctl daemon-reload').with_refreshonly(true)
      is_expected.to contain_service('netkeel').with(ensure: 'running', enable: true)
      is_expected.to contain_service('netkeel-boot').with(enable: true).without_ensure
    end
  end

  context 'with a running service' do
    # Whether the exec does not restart the service, with a systemctl that prints this process.
    def keeps?(process)
      Dir.mktmpdir do |directory|
        File.write(File.join(directory, 'systemctl'), "#!/bin/sh\necho #{process}")
        File.chmod(0o755, File.join(directory, 'systemctl'))
        system({ 'PATH' => "#{directory}:#{ENV.fetch('PATH', nil)}" }, 'sh', '-c', catalogue.resource('Exec', 'netkeel: systemctl restart')[:unless])
      end
    end

    context 'of the program that is installed' do
      let(:params) { { binary: File.realpath('/proc/self/exe') } }

      it { is_expected.to contain_exec('netkeel: systemctl restart').that_requires('Service[netkeel]') }
      it { expect(keeps?(Process.pid)).to be(true) }
    end

    context 'of a program that was replaced' do
      let(:params) { { binary: '/usr/bin/env' } }

      it { expect(keeps?(Process.pid)).to be(false) }
      it { expect(keeps?(0)).to be(true) }
      it { expect(keeps?('')).to be(true) }
    end

    context 'that is to be stopped' do
      let(:params) { { service_ensure: 'stopped' } }

      it { is_expected.not_to contain_exec('netkeel: systemctl restart') }
    end
  end

  context 'with scrapers of other hosts' do
    let(:params) { { metrics_from: ['192.0.2.0/24', '2001:db8::1'] } }
    let(:drop_in) { '/etc/systemd/system/netkeel.service.d/metrics.conf' }

    it 'lets them through the filter of the unit' do
      is_expected.to compile.with_all_deps
      is_expected.to contain_file(drop_in).with_content(%r{^IPAddressAllow=192\.0\.2\.0/24 2001:db8::1$}).that_notifies('Service[netkeel]')
    end

    context 'that are no addresses' do
      let(:params) { { metrics_from: ['any host'] } }

      it { is_expected.to compile.and_raise_error(/metrics_from/) }
    end
  end

  context 'without scrapers of other hosts' do
    it { is_expected.to contain_file('/etc/systemd/system/netkeel.service.d/metrics.conf').with_ensure('absent') }
  end

  context 'with a match that sets the MTU of veths' do
    let(:pods) { { 'pods' => { 'match' => { 'name' => 'cali*', 'kind' => 'veth' }, 'mtu' => 1460 } } }
    let(:params) { { link: pods } }

    it 'lets the service set both ends' do
      is_expected.to compile.with_all_deps
      is_expected.to contain_class('netkeel::pods')
      is_expected.to contain_file('/etc/systemd/system/netkeel.service.d').with_ensure('directory')
      is_expected.to contain_exec('netkeel render netkeel-pods.conf').that_notifies('Service[netkeel]')
      is_expected.not_to contain_file('/etc/systemd/system/netkeel.service.d/pods.conf')
    end

    context 'and without permission' do
      let(:params) { { link: pods, enter_pods: false } }

      it { is_expected.not_to contain_class('netkeel::pods') }
      it { is_expected.to contain_file('/etc/systemd/system/netkeel.service.d/pods.conf').with_ensure('absent') }
    end

    context 'that a host knocked out' do
      let(:params) { { link: { 'pods' => pods['pods'].merge('mtu' => ''), 'others' => '' } } }

      it { is_expected.not_to contain_class('netkeel::pods') }
    end

    context 'of which a host knocked out all' do
      let(:params) { { link: '--' } }

      it { is_expected.not_to contain_class('netkeel::pods') }

      it 'removes the drop-in of an earlier match' do
        is_expected.to contain_file('/etc/systemd/system/netkeel.service.d/pods.conf').with_ensure('absent').that_notifies('Service[netkeel]')
      end
    end

    context 'that leaves the pods alone' do
      let(:params) { { link: { 'pods' => pods['pods'].merge('pod_mtu' => 'leave') } } }

      it { is_expected.not_to contain_class('netkeel::pods') }
    end

    context 'of another kind' do
      let(:params) { { link: { 'pods' => { 'match' => { 'kind' => 'vlan' }, 'mtu' => 1460 } } } }

      it { is_expected.not_to contain_class('netkeel::pods') }
    end
  end

  context 'with every section' do
    let(:params) do
      {
        sysctl: { 'net.core.rmem_max' => 134_217_728, 'net.ipv4.tcp_rmem' => [4096, 131_072, 6_291_456] },
        link: { 'pods' => { 'match' => { 'name' => 'cali*' }, 'mtu' => { 'underlay' => 'eth0', 'layers' => ['ipip'] }, 'rp_filter' => false } },
        tunnel: { 'ipip0' => { 'mode' => 'ipip', 'addresses' => ['127.0.0.42/32'], 'rp_filter' => 'off' } },
        route: { '10.0.0.0/8' => { 'table' => 100, 'mtu' => 1400, 'advmss' => '1360' } },
        nflog: { 'packet-too-big' => { 'interfaces' => ['eth0'], 'ignore_sources' => ['192.0.2.0/24'] } },
        replicate: { 'nflog' => 'packet-too-big', 'peers' => ['192.0.2.2'] },
        probes: { 'database' => { 'path_mtu' => '192.0.2.9', 'expect' => 1460 } },
        cni: { 'calico' => { 'plugin' => 'calico', 'mtu' => 1460 } },
        wireguard: { 'wg0' => { 'source' => '/etc/wireguard/wg0.conf', 'target' => '/run/netkeel/wireguard/wg0.conf', 'mtu' => { 'underlay' => 'default-route', 'layers' => ['wireguard'] } } },
        limits: { 'max_matches' => 100 },
        allow: { 'NK003' => 'known' },
        allow_any_sysctl: true, host_network: true, owner: 'puppet', persist: false, prune: true
      }
    end

    it { is_expected.to compile.with_all_deps }
    it { expect(written).to eq(params.transform_keys(&:to_s).merge('version' => 1)) }
    it { is_expected.not_to contain_file('/etc/sysctl.d/90-netkeel-puppet.conf') }
    it { is_expected.to contain_netkeel_host('puppet') }
  end

  context 'with an owner' do
    let(:params) { { owner: 'puppet' } }

    it { is_expected.to contain_file('/etc/sysctl.d/90-netkeel-puppet.conf') }
  end

  context 'with a directory of its own that others share' do
    let(:params) { { directory: '/srv/netkeel', purge_documents: false } }

    it { is_expected.to contain_file('/srv/netkeel').without_purge }
    it { is_expected.not_to contain_file('/srv') }
    it { is_expected.to contain_file('/srv/netkeel/50-hiera.yaml') }
  end

  context 'as a file' do
    let(:params) { { install: 'file', source: 'puppet:///modules/profile/netkeel', binary: '/opt/netkeel' } }

    it { is_expected.to contain_file('/opt/netkeel').with(mode: '0755', source: 'puppet:///modules/profile/netkeel') }
    it { is_expected.not_to contain_package('netkeel') }
    it { is_expected.to contain_exec('netkeel render netkeel.service').with_command(%r{sed 's\|/usr/bin/netkeel\|/opt/netkeel\|'}) }
    it { is_expected.to contain_exec('netkeel render netkeel-boot.service').that_notifies('Exec[netkeel: systemctl daemon-reload]') }
    it { is_expected.to contain_exec('netkeel render netkeel-recover.service').that_notifies('Service[netkeel]') }
    it { is_expected.not_to contain_exec('netkeel: remove /etc/systemd/system/netkeel.service') }

    context 'without a source' do
      let(:params) { { install: 'file' } }

      it { is_expected.to compile.and_raise_error(/needs `source`/) }
    end
  end

  context 'with a package that is a file' do
    let(:params) { { package_source: '/root/netkeel.deb' } }

    it { is_expected.to contain_package('netkeel').with(provider: 'dpkg', source: '/root/netkeel.deb') }

    context 'of rpm' do
      let(:params) { { package_source: '/root/netkeel.rpm' } }

      it { is_expected.to contain_package('netkeel').with(provider: 'rpm') }
    end

    context 'of neither' do
      let(:params) { { package_source: '/root/netkeel.tgz' } }

      it { is_expected.to compile.and_raise_error(/package_source/) }
    end
  end

  context 'with the units that are marked as of this module' do
    # Whether the exec would remove a unit with this text.
    def removes?(text)
      Dir.mktmpdir do |directory|
        path = File.join(directory, 'netkeel.service')
        File.write(path, text)
        asked = catalogue.resource('Exec', 'netkeel: remove /etc/systemd/system/netkeel.service')[:onlyif]
        system('sh', '-c', asked.gsub('/etc/systemd/system/netkeel.service', path))
      end
    end

    it('removes its own') { expect(removes?("# Managed by Puppet.\n[Unit]\n")).to be(true) }
    it('keeps those of an administrator') { expect(removes?("[Unit]\n# Managed by Puppet.\n")).to be(false) }
  end

  context 'with execs' do
    let(:params) { { converge: 'exec', install: 'none', timeout: 30, verify_reach: ['192.0.2.1:22'], allow_lossy: true } }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.to contain_class('netkeel::converge::exec') }
    it { is_expected.not_to contain_netkeel_host('default') }

    it 'compares candidates under noop too, silently' do
      is_expected.to contain_file('/var/cache/netkeel-candidate.d').with(noop: false, backup: false, loglevel: 'debug')
      is_expected.to contain_file('/var/cache/netkeel-candidate.d/50-hiera.yaml')
        .with(noop: false, show_diff: false, backup: false, loglevel: 'debug').that_comes_before('Exec[netkeel plan]')
      is_expected.to contain_exec('netkeel plan').with(
        noop: false, returns: [0, 2], logoutput: true, onlyif: nil, timeout: 50,
        unless: 'timeout --verbose --kill-after=15 30 /usr/bin/netkeel check --quiet -f /var/cache/netkeel-candidate.d'
      )
    end

    it 'applies what was written, and not under noop' do
      is_expected.to contain_exec('netkeel apply').without_noop.with(
        command: "timeout --verbose --kill-after=15 30 /usr/bin/netkeel apply --lock-timeout 30s --allow-lossy --verify-reach '192.0.2.1:22' -f /etc/netkeel/desired.d",
        unless: 'timeout --verbose --kill-after=15 30 /usr/bin/netkeel check --quiet -f /etc/netkeel/desired.d',
      ).that_requires('Exec[netkeel plan]')
      is_expected.to contain_file('/etc/netkeel/desired.d/50-hiera.yaml').that_comes_before('Exec[netkeel apply]')
    end

    context 'while the catalog installs the program' do
      let(:params) { { converge: 'exec' } }

      it { is_expected.to contain_exec('netkeel plan').with_onlyif('test -x /usr/bin/netkeel') }
    end
  end

  context 'left to the service' do
    let(:params) { { converge: 'service' } }

    it { is_expected.not_to contain_netkeel_host('default') }
    it { is_expected.not_to contain_exec('netkeel apply') }

    context 'which is not to run' do
      let(:params) { { converge: 'service', service_ensure: 'stopped' } }

      it { is_expected.to compile.and_raise_error(/`converge: service` needs the service to run/) }
    end
  end

  context 'without the service' do
    let(:params) { { manage_service: false } }

    it { is_expected.not_to contain_service('netkeel') }
    it { is_expected.not_to contain_exec('netkeel render netkeel.service') }
  end

  {
    'an MTU that is none' => { link: { 'eth0' => { 'mtu' => 40 } } },
    'a field that is none' => { link: { 'eth0' => { 'mtuu' => 1500 } } },
    'a filter that is none' => { link: { 'eth0' => { 'rp_filter' => 3 } } },
    'a tunnel without a mode' => { tunnel: { 'ipip0' => {} } },
    'an interface with too long a name' => { tunnel: { 'a-name-of-seventeen' => { 'mode' => 'ipip' } } },
    'a timeout beyond Puppet\'s own' => { timeout: 300 },
    'a path with blanks' => { binary: '/opt/net keel' },
  }.each do |what, wrong|
    context "with #{what}" do
      let(:params) { wrong }

      it { is_expected.to compile.and_raise_error(/parameter|expects/) }
    end
  end
end
