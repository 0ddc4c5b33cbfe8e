# frozen_string_literal: true

# The one name of a sysctl among its spellings: `net.ipv4.ip_forward` for `net/ipv4/ip_forward`, and
# `net/ipv4/conf/eth0.100/rp_filter` for `net.ipv4.conf.eth0/100.rp_filter`. Like sysctl(8), the first separator decides: after
# a dot, a slash means a dot.
Puppet::Functions.create_function(:'netkeel::sysctl_key') do
  # @param key A key in any spelling.
  # @return [String] The key with dots, or with slashes where a name in it has a dot.
  # @example
  #   netkeel::sysctl_key('net/ipv4/ip_forward')
  dispatch :sysctl_key do
    param 'String[1]', :key
    return_type 'String[1]'
  end

  def sysctl_key(key)
    slashes = key[%r{[./]}] == '.' ? key.tr('./', '/.') : key
    slashes.include?('.') ? slashes : slashes.tr('/', '.')
  end
end
